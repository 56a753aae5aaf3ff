"""The line as a service of the machine: started at boot, watched, restarted, ended in order."""
