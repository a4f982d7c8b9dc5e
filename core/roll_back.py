"""THE RUNBOOK."""

from core.runbook import Gate, Runbook, Step
from core.steps.backup import backup
from core.steps.execute import execute, found
from core.steps.identify import identify
from core.steps.rehearse import rehearse
from core.steps.trial_restore import trial_restore
from core.steps.verify import verify

ROLL_BACK = Runbook(
    Step("identify", identify, "find the migrations and their rollback scripts"),
    Step("rehearse", rehearse, "run the scripts on an empty copy of the schema"),
    Gate("approve", "a second person agrees to exactly this plan"),
    Step("backup", backup, "take the backup that we would put back"),
    Step("test restore", trial_restore, "prove that the backup can be put back, and run the scripts there"),
    Step("execute", execute, "run the scripts, all or nothing", needs="approve", found=found),
    Step("verify", verify, "compare with the rehearsal, ask the application"),
)
