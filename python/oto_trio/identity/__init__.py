"""Who calls: what the gateway has to ask others to find out. At present: the key sets of issuers."""
