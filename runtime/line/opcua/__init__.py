"""The line as an OPC UA server."""
