"""Swarm Ingress Lab: builds a real Docker Swarm and tells the truth about its ingress path.

Data flows one way: topology -> provider -> nodes -> swarm -> service -> facts -> hops -> checks.
"""
