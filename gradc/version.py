"""The version of gradc; generated code names it."""

VERSION = "0.1.0"
