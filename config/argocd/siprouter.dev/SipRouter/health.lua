-- Health of a SipRouter from its conditions. Wrong, or halted: Degraded. On the way, or waiting for an object that is not there
-- yet: Progressing. A PBX that does not answer, has no pod or has not registered changes nothing here once the router serves:
-- the message says it.
local hs = { status = "Progressing", message = "The operator has not seen this version of the spec yet." }
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return hs
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function is(name, value)
  return conditions[name] ~= nil and conditions[name].status == value
end
local ready = conditions["Ready"]
if ready == nil or ready.observedGeneration ~= obj.metadata.generation then
  return hs
end
hs.message = ready.message

if is("Ready", "True") then
  hs.status = "Healthy"
  if obj.spec.replicas == 0 then
    hs.status = "Suspended"
  elseif is("Available", "False") then
    hs.message = conditions["Available"].message
  end
  return hs
end

local failures = {
  ReloadFailed = true,
  RolloutFailed = true,
  RenderFailed = true,
  ApplyFailed = true,
  NotOwned = true,
  NotAnswering = true,
}
-- the PBX is down, as one that does not answer
local down = { NoEndpoints = true, NameNotResolved = true, NotRegistered = true }
if is("Accepted", "False") or failures[ready.reason] then
  hs.status = "Degraded"
elseif is("ResolvedRefs", "False") and is("Programmed", "True") then
  if down[ready.reason] then
    hs.status = "Healthy"
  else
    -- it serves what it knew last, and something it names is gone
    hs.status = "Degraded"
  end
end
return hs
