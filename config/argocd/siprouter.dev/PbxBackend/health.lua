-- Health of a PbxBackend from its conditions. Out of service by its own spec: Suspended. A PBX that does not answer stays Healthy
-- (condition Reachable, as with the routers' Available): the message says it.
local hs = { status = "Progressing", message = "The operator has not seen this version of the spec yet." }
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return hs
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local ready = conditions["Ready"]
if ready == nil or ready.observedGeneration ~= obj.metadata.generation then
  return hs
end
hs.message = ready.message

local accepted = conditions["Accepted"]
if accepted ~= nil and accepted.status == "False" then
  hs.status = "Degraded"
elseif ready.status == "True" then
  local state = obj.spec.adminState
  local reachable = conditions["Reachable"]
  if state == "Draining" or state == "Disabled" then
    hs.status = "Suspended"
    hs.message = "spec.adminState is " .. state .. "."
  else
    hs.status = "Healthy"
    if reachable ~= nil and reachable.status == "False" then
      hs.message = reachable.message
    end
  end
end
return hs
