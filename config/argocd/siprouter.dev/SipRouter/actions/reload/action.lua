-- As `kubectl sip reload`: the operator reads back every pod and puts right what differs.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["siprouter.dev/reload-requested-at"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
