"""Processes under supervisord: started, asked how they are, ended without a rest."""
