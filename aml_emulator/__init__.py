"""Azure ML managed online endpoints on one machine.

What it is: the part of Azure Resource Manager that Microsoft's unmodified `azure-ai-ml` client uses for online
endpoints, over TLS on loopback, with Azure's rules, codes and texts, and a scoring door before real model processes.
What it is not: the rest of Azure ML. What is missing answers 501, never a plausible lie.
May import: the standard library, uvicorn, httptools, trustme, click, yaml. Nothing of `azure`, and nothing of a product
under test.
"""

__version__ = "0.1.0"
