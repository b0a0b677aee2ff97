"""Git hosts by the name that stands in the webhook's address. Another host is one module here and one line below."""

from types import MappingProxyType

from aml_canary.githosts import azuredevops, bitbucket_cloud, bitbucket_dc, gitea, github, github_comments, gitlab, gitlab_comments
from aml_canary.githosts.delivery import Commented, GitHost

HOSTS: MappingProxyType[str, GitHost] = MappingProxyType(
    {
        "github": github,
        "gitlab": gitlab,
        "azure-devops": azuredevops,
        "bitbucket": bitbucket_cloud,
        "bitbucket-dc": bitbucket_dc,
        "gitea": gitea,
        "forgejo": gitea,
    }
)
# Those whose comments answer gates.
COMMENTED: MappingProxyType[str, Commented] = MappingProxyType({"github": github_comments, "gitlab": gitlab_comments})
