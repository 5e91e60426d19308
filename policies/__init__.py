"""Policies by name, and the execution of their plans.

``interface`` holds the members of every policy, ``registry`` their names, ``executor`` and
``fusion`` the execution of plans, ``rdt`` RDT, ``expert`` the scripted expert, and ``remote``
policies of other projects behind a server.
"""
