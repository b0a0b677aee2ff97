"""Instances at once, Azure's reserve, and what the SDK says of quota in either of its spellings."""

import pytest
from azure.ai.ml._restclient.arm_ml_service import models
from azure.ai.ml.entities import Usage, VmSize

from aml_canary.domain.quota import Family, Need, Quota, against, needs, with_reserve
from aml_canary.gateways.azureml.quota import quota_of
from tests.unit.worlds import live


@pytest.mark.parametrize(("instances", "covered"), [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 8), (10, 12), (50, 60)])
def test_azure_keeps_a_fifth_on_top_rounded_up(instances, covered):
    assert with_reserve(instances) == covered


def test_the_peak_is_when_old_and_new_are_there_together():
    blue = live({"blue": 100}, {"blue": "v1"}, counts={"blue": 2})
    both = live({"blue": 100}, {"blue": "v1", "green": "v2"}, counts={"blue": 2, "green": 5})
    green = live({"green": 100}, {"green": "v2"}, counts={"green": 5})
    assert needs(blue, [both, green]) == (Need("Standard_F2s_v2", 2, 7, 3, 9),)
    assert needs(green, []) == (Need("Standard_F2s_v2", 5, 5, 6, 6),)


def test_what_is_not_needed_more_is_never_too_much():
    need = Need("Standard_F2s_v2", 2, 2, 3, 3)
    sizes = {"standard_f2s_v2": ("f", 2)}
    assert against(need, Quota(sizes, {"f": Family("f", 9, 4)}))[0]
    more = Need("Standard_F2s_v2", 2, 4, 3, 5)
    assert [against(more, Quota(sizes, {"f": Family("f", 6, limit)}))[0] for limit in (9, 10, -1)] == [False, True, True]
    assert against(more, Quota({}, {})) == (True, "Azure names no quota for this size")


def usage(family, used, limit, workspace=None):
    return {"amlWorkspaceLocation": workspace, "currentValue": used, "limit": limit, "name": {"value": family, "localizedValue": "words"}}


def test_the_sdks_entities_are_read_whichever_way_they_spell_what_azure_said():
    size = {"name": "Standard_F2s_v2", "family": "standardFSv2Family", "vCPUs": 2}
    said = [usage("standardFSv2Family", 3, 4, "westeurope"), usage("standardFSv2Family", 12, 100)]
    quota = quota_of(
        [Usage._from_rest_object(models.Usage(one)) for one in said], [VmSize._from_rest_object(models.VirtualMachineSize(size))]
    )
    assert quota == Quota({"standard_f2s_v2": ("standardFSv2Family", 2)}, {"standardfsv2family": Family("standardFSv2Family", 12, 100)})
    spelled = Usage(current_value=12, limit=100, name={"value": "standardFSv2Family"})
    assert quota_of([spelled], [VmSize(name="Standard_F2s_v2", family="standardFSv2Family", v_cp_us=2)]) == quota
