"""One module for each check; `appliance.health.registry` lists them."""
