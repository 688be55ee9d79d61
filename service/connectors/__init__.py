"""Annotation tools that ask the service for masks; each talks to it through service.client."""
