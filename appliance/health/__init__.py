"""How the box is: checks that look, findings that say what is wrong, and fixes that mend it."""
