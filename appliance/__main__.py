"""`python -m appliance` is the `hako` command."""

from appliance.cli.main import main

main()
