local actions = {}
actions["reload"] = {
  displayName = "Read back and repair",
  iconClass = "fa fa-fw fa-redo",
}
return actions
