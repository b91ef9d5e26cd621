-- As `kubectl sip undrain`.
obj.spec.adminState = "Enabled"
return obj
