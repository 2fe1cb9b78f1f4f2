{{ config(materialized='table') }}
select order_date, count(*) as orders, sum(amount) as revenue
from {{ ref('sold_orders') }}
group by order_date
