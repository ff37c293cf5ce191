"""Bytes by key: a directory on this machine or a bucket in the cloud, under one face (`store.Blobs`)."""
