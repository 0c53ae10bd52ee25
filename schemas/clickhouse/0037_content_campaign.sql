ALTER TABLE tiktok_content_published
    ADD COLUMN IF NOT EXISTS campaign_id String COMMENT 'The campaign the content was made for, such as TikTok Shop\'s id of an affiliate collaboration; empty when none.' AFTER reactivated
