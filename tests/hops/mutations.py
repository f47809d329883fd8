"""Every broken thing the judges are shown."""

from functools import cache

from lab.diagnosis.examine import diagnose
from lab.diagnosis.model import Diagnosis
from lab.hops.situation import Situation
from tests.hops.breaking import Mutation
from tests.hops.broken_cluster import CLUSTER, SERVICE
from tests.hops.broken_fabric import FABRIC, TASK
from tests.hops.broken_host import HOST
from tests.hops.broken_sandbox import SANDBOX
from tests.hops.broken_traffic import TRAFFIC
from tests.hops.healthy import healthy

MUTATIONS: tuple[Mutation, ...] = (
    *CLUSTER,
    *SERVICE,
    *HOST,
    *SANDBOX,
    *FABRIC,
    *TASK,
    *TRAFFIC,
)


@cache
def broken(mutation: Mutation) -> Situation:
    """The healthy lab with this one thing broken."""
    return mutation.change(healthy())


@cache
def diagnosed(mutation: Mutation) -> Diagnosis:
    """What is said of it. Several modules look at it: to make it takes the most of their time."""
    return diagnose(broken(mutation))
