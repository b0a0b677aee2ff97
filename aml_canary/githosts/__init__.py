"""Git hosts by the name that stands in the webhook's address. Another host is one module here and one line below."""

from types import MappingProxyType

from aml_canary.githosts import github
from aml_canary.githosts.delivery import GitHost

HOSTS: MappingProxyType[str, GitHost] = MappingProxyType(
    {
        "github": github,
    }
)
