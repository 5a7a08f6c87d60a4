-- The same three treatments as privet's policy: the whole body is collected, decoded, changed and encoded.
local cjson = require "cjson"

local ctx, chunk = ngx.ctx, ngx.arg[1]
ctx.parts = ctx.parts or {}
if chunk ~= "" then
    ctx.parts[#ctx.parts + 1] = chunk
end
if not ngx.arg[2] then
    ngx.arg[1] = nil
    return
end
local body = cjson.decode(table.concat(ctx.parts))
for _, record in ipairs(body.records) do
    local email = record.Email
    if type(email) == "string" then
        local domain = email:match("@(.+)$")
        record.Email = domain and (email:sub(1, 1) .. "****@" .. domain) or "****"
    end
    record.Phone = cjson.null
    if type(record.Account) == "table" then
        record.Account.Name = nil
    end
end
ngx.arg[1] = cjson.encode(body)
