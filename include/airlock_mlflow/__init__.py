"""The guard: what makes an MLflow server itself refuse what no grant allows.

It is installed beside the server and holds public keys only. It knows of Airlock what a grant, a
token and a digest are (`airlock.domain`), nothing else: neither its database nor its services.
"""
