"""The box's own next release: installed beside the running one, tried as a client would, kept or taken back."""
