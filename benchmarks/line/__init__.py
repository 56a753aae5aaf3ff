"""What a line controller's binding costs beside the inference."""
