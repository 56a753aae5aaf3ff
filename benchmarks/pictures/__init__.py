"""What is read of pictures and videos: undetected damage, the cost of the checks, pictures that are there twice."""
