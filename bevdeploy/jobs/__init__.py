"""Jobs that cross rooms: each is one function behind one command."""
