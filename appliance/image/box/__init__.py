"""What an imaged machine does by itself before and beside the box: its disk, slots, certificate and console."""
