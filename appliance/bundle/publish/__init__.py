"""The publisher's side, outside the gap: keys, ceremony, cutting, signing, writing a stick."""
