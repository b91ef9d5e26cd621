-- As `kubectl sip drain`: no new calls, those in progress go on.
obj.spec.adminState = "Draining"
return obj
