"""The choice of what computes a detector, by measuring on the machine at hand, remembered beside the detector."""
