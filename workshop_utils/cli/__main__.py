"""python -m workshop_utils.cli"""

from workshop_utils.cli import main

main()
