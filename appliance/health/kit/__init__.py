"""The support kit: what somebody who helps may see of a box, in one file, and nothing of what people brought to it."""
