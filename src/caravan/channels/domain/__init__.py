"""What the DNS says of a domain that sends mail, and what of it to mend: `caravan channels check`."""
