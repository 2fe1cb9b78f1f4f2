-- Orders that were paid for.
select order_id, customer_id, amount, order_date
from {{ source('silver', 'orders') }}
where status <> 'cancelled'
