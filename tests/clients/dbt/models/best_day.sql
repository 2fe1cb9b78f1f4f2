{{ config(materialized='view') }}
select order_date, revenue from {{ ref('daily_revenue') }}
where revenue = (select max(revenue) from {{ ref('daily_revenue') }})
