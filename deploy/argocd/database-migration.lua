-- Argo CD's health of a DatabaseMigration: Healthy once the operator has read it. Whether it has run is the
-- health of the ManagedDatabase: one migration serves many databases.
local health = { status = "Progressing", message = "the operator has not read it yet" }
if obj.status == nil or obj.status.digest == nil then
  return health
end
health.status = "Healthy"
local count = 0
for _ in ipairs(obj.status.usedBy or {}) do
  count = count + 1
end
if count == 0 then
  health.message = "belongs to the chain of no database"
elseif count == 1 then
  health.message = "belongs to the chain of " .. obj.status.usedBy[1]
else
  health.message = "belongs to the chain of " .. count .. " databases"
end
return health
