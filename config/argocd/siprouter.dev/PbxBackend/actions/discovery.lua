local state = obj.spec.adminState or "Enabled"
local actions = {}
actions["drain"] = {
  displayName = "Drain: no new calls",
  iconClass = "fa fa-fw fa-pause-circle",
  disabled = state == "Draining",
}
actions["undrain"] = {
  displayName = "Back in service",
  iconClass = "fa fa-fw fa-play-circle",
  disabled = state == "Enabled",
}
return actions
