-- Argo CD's health of a ManagedDatabase, by its conditions: Ready is Healthy, Stalled is Degraded, a wait
-- for a person (paused, readOnly) is Suspended, all else is Progressing. The message is the operator's own.
local health = { status = "Progressing", message = "the operator has not looked at it yet" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "the operator has not looked at its latest change yet"
  return health
end
local function read(condition)
  local is_true = condition.status == "True"
  if condition.type == "Ready" and is_true then
    return "Healthy"
  end
  if condition.type == "Stalled" and is_true then
    return "Degraded"
  end
  if condition.type == "Reconciling" and is_true then
    if condition.reason == "Paused" or condition.reason == "ReadOnly" then
      return "Suspended"
    end
    return "Progressing"
  end
  return nil
end
for _, condition in ipairs(obj.status.conditions) do
  local found = read(condition)
  if found ~= nil then
    health.status = found
    health.message = condition.message
    return health
  end
end
return health
