"""One module per `./board` command, each with `run(arguments) -> exit status`."""
