"""What a phase is and does: its definition, its plan, its verbs, and what carries them out
unattended.
"""
