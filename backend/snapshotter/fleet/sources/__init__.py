"""Where an inventory's sources list their repositories: forges, asked politely, and folders."""
