"""The long-running processes of the box, one module each; `hako serve` starts them."""
