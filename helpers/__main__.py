"""Run the playbook command as `python -m helpers`."""

from helpers.cli import main

main()
