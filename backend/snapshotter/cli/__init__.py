"""The command line: the one package that prints. One module for each verb, and no logic."""
