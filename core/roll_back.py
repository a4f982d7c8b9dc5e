"""THE RUNBOOK, and the two ways back."""

from collections.abc import Mapping

from core import commit
from core.model import Kind
from core.runbook import Gate, Runbook, Step
from core.steps import reapply, restore, swap
from core.steps.backup import backup
from core.steps.identify import identify
from core.steps.part_by_part import execute, found
from core.steps.rehearse import rehearse
from core.steps.trial_restore import trial_restore
from core.steps.verify import verify

ROLL_BACK = Runbook(
    Step("identify", identify, "find the migrations and their rollback scripts"),
    Step("rehearse", rehearse, "run the scripts on an empty copy of the schema"),
    Gate("approve", "a second person agrees to exactly this plan"),
    Step("backup", backup, "take the backup that we would put back"),
    Step("test restore", trial_restore, "prove that the backup can be put back, and run the scripts there"),
    Step("execute", execute, "save what goes and run the scripts, all or nothing", needs="approve", found=found),
    Step("verify", verify, "compare with the rehearsal, ask the application"),
)
RE_APPLY = Runbook(
    Step("identify", reapply.identify, "find the forward migrations and the saved rows"),
    Step("rehearse", reapply.rehearse, "run them and put the rows back on a copy"),
    Gate("approve", "a second person agrees to exactly this plan"),
    Step(
        "execute",
        reapply.execute,
        "run them and put the rows back, all or nothing",
        needs="approve",
        found=commit.found,
    ),
    Step("verify", verify, "compare with the rehearsal, ask the application"),
)
RESTORE = Runbook(
    Step("identify", restore.identify, "find the backup, and who uses the database"),
    Step("rehearse", restore.rehearse, "count what was written since the backup and would be lost"),
    Gate("approve", "a second person agrees to exactly this plan"),
    Step("prepare", restore.prepare, "put the backup into a new database", after="approve", clean=restore.tidy),
    Step("execute", swap.swap, "stop services, swap names, start services", needs="approve", found=swap.found),
    Step("verify", restore.verify, "compare with the backup, ask the application"),
)
RUNBOOKS: Mapping[Kind, Runbook] = {"rollback": ROLL_BACK, "reapply": RE_APPLY, "restore": RESTORE}
