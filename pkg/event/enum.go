package event

// ContentKind is what was published on TikTok.
type ContentKind string

// The values of ContentKind.
const (
	ContentKindVideo ContentKind = "video"
	ContentKindLive  ContentKind = "live"
	ContentKindImage ContentKind = "image"
)

// OrderStatus is the state of an order.
type OrderStatus string

// The values of OrderStatus.
const (
	OrderStatusPlaced    OrderStatus = "placed"
	OrderStatusShipped   OrderStatus = "shipped"
	OrderStatusDelivered OrderStatus = "delivered"
	OrderStatusCancelled OrderStatus = "cancelled"
	OrderStatusReturned  OrderStatus = "returned"
)

// RegistrationOrigin is how a customer came to register.
type RegistrationOrigin string

// The values of RegistrationOrigin.
const (
	RegistrationOriginInsert        RegistrationOrigin = "insert"
	RegistrationOriginQR            RegistrationOrigin = "qr"
	RegistrationOriginOffer         RegistrationOrigin = "offer"
	RegistrationOriginReviewRequest RegistrationOrigin = "review_request"
	RegistrationOriginOrganic       RegistrationOrigin = "organic"
	RegistrationOriginPaid          RegistrationOrigin = "paid"
)

// Referrer is where a visitor or buyer came from.
type Referrer string

// The values of Referrer.
const (
	ReferrerDirect  Referrer = "direct"
	ReferrerSearch  Referrer = "search"
	ReferrerSocial  Referrer = "social"
	ReferrerAI      Referrer = "ai"
	ReferrerMessage Referrer = "message"
	ReferrerPaid    Referrer = "paid"
	ReferrerOther   Referrer = "other"
)

// MessageChannel is how a message travels.
type MessageChannel string

// The values of MessageChannel.
const (
	MessageChannelEmail MessageChannel = "email"
	MessageChannelSMS   MessageChannel = "sms"
)

// MessageAction is what happened to a message.
type MessageAction string

// The values of MessageAction.
const (
	MessageActionSent         MessageAction = "sent"
	MessageActionDelivered    MessageAction = "delivered"
	MessageActionOpened       MessageAction = "opened"
	MessageActionClicked      MessageAction = "clicked"
	MessageActionConverted    MessageAction = "converted"
	MessageActionUnsubscribed MessageAction = "unsubscribed"
)

// MessagePurpose is what a message is for.
type MessagePurpose string

// The values of MessagePurpose.
const (
	MessagePurposeReplenishment MessagePurpose = "replenishment"
	MessagePurposeReviewRequest MessagePurpose = "review_request"
	MessagePurposeReactivation  MessagePurpose = "reactivation"
	MessagePurposeCreatorInvite MessagePurpose = "creator_invite"
	MessagePurposeCampaign      MessagePurpose = "campaign"
	MessagePurposeTransactional MessagePurpose = "transactional"
)

// CalendarKind is what a calendar event is.
type CalendarKind string

// The values of CalendarKind.
const (
	CalendarKindPromotion   CalendarKind = "promotion"
	CalendarKindHoliday     CalendarKind = "holiday"
	CalendarKindPriceChange CalendarKind = "price_change"
	CalendarKindStockOut    CalendarKind = "stock_out"
)

// NodeName is one of the five connected nodes.
type NodeName string

// The values of NodeName.
const (
	NodeTikTok    NodeName = "tiktok"
	NodeAmazon    NodeName = "amazon"
	NodeShopify   NodeName = "shopify"
	NodeAISearch  NodeName = "aisearch"
	NodeMessaging NodeName = "messaging"
)

// Verdict is what may be said about a correlation.
type Verdict string

// The values of Verdict.
const (
	VerdictInsufficient   Verdict = "insufficient"
	VerdictNotSignificant Verdict = "not_significant"
	VerdictSignificant    Verdict = "significant"
)

// Tier is how final a result is.
type Tier string

// The values of Tier.
const (
	TierProvisional Tier = "provisional"
	TierSettled     Tier = "settled"
)

// SpikeStatus is where a spike is in its life.
type SpikeStatus string

// The values of SpikeStatus.
const (
	SpikeStatusActive    SpikeStatus = "active"
	SpikeStatusResolved  SpikeStatus = "resolved"
	SpikeStatusRetracted SpikeStatus = "retracted"
)

// Reason is why a record was refused.
type Reason string

// The values of Reason.
const (
	ReasonDuplicate     Reason = "duplicate"
	ReasonLate          Reason = "late"
	ReasonFuture        Reason = "future"
	ReasonUnknownSchema Reason = "unknown_schema"
	ReasonMalformed     Reason = "malformed"
	ReasonUnknownRecord Reason = "unknown_record"
	ReasonWrongTopic    Reason = "wrong_topic"
	ReasonWrongKey      Reason = "wrong_key"
	ReasonInvalid       Reason = "invalid"
	ReasonOversized     Reason = "oversized"
)

// Reasons returns the values of Reason.
func Reasons() []Reason {
	return []Reason{
		ReasonDuplicate, ReasonLate, ReasonFuture, ReasonUnknownSchema, ReasonMalformed,
		ReasonUnknownRecord, ReasonWrongTopic, ReasonWrongKey, ReasonInvalid, ReasonOversized,
	}
}
